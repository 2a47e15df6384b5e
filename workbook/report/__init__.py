"""From notebooks to the report: record results, draw figures, fill in the prose, run everything.

style          how every figure looks: colours, markers, fonts
plots          figures from tables; each method keeps its colour
explained      a hash shown as pictures: its stages, its bits, and distances on a scale
accuracy       the figures of notebook 05, and its tables for readers
explorers      what stands behind the notebooks' controls: groups of pictures, a calculator
chooser        choose a picture in a notebook: by its thumbnail, or by dropping a file
notebook       what every notebook begins with: its parameters, its data, where it writes
headings       the headings of tables, by the names of their columns
record         save tables, figures and numbers with the machine and versions they come from
results        look up what was recorded: numbers, cells of tables, stamps
filling        render report.md from its template and refuse numbers typed by hand
execute        run a notebook at full size and clean what it leaves
pages          the executed notebooks as web pages
rendering      the report as HTML and PDF
row_distances  explore, choose and judge ways to compare a dHash row by row
kinds          count false pairs on pictures of many kinds, for `python -m workbook kinds`
rivals         score hashes and distances of others
copies         count the near copies that each method finds
evasion        the least change that each method misses
scale          measure clustering of millions of hashes, for `python -m workbook scale`
costs          what each method costs with more images, from tables that exist
gpu            measure hashing and scanning on a GPU, for `python -m workbook gpu`
bench          ratios of times that are robust to machines, for `make bench`
documents      what MkDocs calls while it builds the site of documents
run            the whole run: notebooks, then the report, also for one's own images
"""
