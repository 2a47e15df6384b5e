"""From notebooks to the report: results recorded, figures drawn, prose filled and checked, the whole run.

style      how every figure looks: colours, markers, fonts
plots      tidy table and Axes in, Axes out; one colour per method
explained  a hash as pictures: stages, bits, the distance on its scale
explorers  groups of pictures to look through and to export; what many images take
notebook   what every notebook begins with: parameters, data, where it writes, trial or published size
record     stamp machine and versions; save tables, figures and numbers
results    what was recorded, by key: numbers, cells of tables, stamps
filling    render report.md from its template; refuse what is typed by hand
execute    run a notebook at full size and clean what it leaves
row_distances  the row distance explored, chosen and judged, by `python -m workbook rows`
rendering  the report as HTML and PDF
scale      clustering of millions, measured by a command of its own: `python -m workbook.report.scale`
run        the whole run: notebooks, report, one's own images
"""
