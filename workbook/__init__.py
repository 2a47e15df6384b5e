"""What only the notebooks and the report need; imported from the checkout, never installed.

study   measures: data sets, scores, timings and models
report  publishes: records results, draws figures, renders and checks the report

`python -m workbook report` runs the notebooks and makes the report. `python -m workbook scale`
measures clustering at scale, which takes an hour. `python -m workbook rows` records how the row
distance was chosen, `python -m workbook site` puts captions on a site's templates, and `python -m
workbook bench` measures how fast finlib is.
"""
