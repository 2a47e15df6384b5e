"""What only the notebooks and the report need; imported from the checkout, never installed.

study   measures: data sets, scores, timing, models
report  publishes: results recorded, figures drawn, the report rendered and checked

`python -m workbook report` runs it all, `python -m workbook scale` what takes an hour.
"""
