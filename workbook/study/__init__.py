"""What the notebooks measure with: sets of images, scores, timing, robustness, growth and costs.

package_files  files that other packages ship: photographs and a font
transforms     changes that images undergo on their way round the web; captions
photographs    squares of photographs that other packages ship, no two of which overlap
grounds        rays, wheels and flat grounds, which unrelated memes have in common
templates      pictures to put captions on
families       the built-in families: captioned templates, kept in a cache
site           a site's templates under captions that people wrote
rehearsal      as many images as FIN's class set has, to rehearse a report on
vectorised     FINd in NumPy, for one image and for a batch, by the array API standard
timing         calls timed side by side with equal results; the peak memory of a call
anatomy        what a hash is made of: stages to look at, bits that flip, rows of dHash
baseline       where FINd's time and memory go, by stage, function and line
optimisation   what the optimised versions cost, and how certain their bits are
targets        how fast hashing should be, and how fast it is
robustness     which hashes survive when an image is changed
uncertainty    how certain a score is: families resampled, thresholds on unseen families
family_pairs   how near each two families come to each other
evidence       the rule that decides which hash FIN should use
row_distances  how to compare a dHash row by row: what was tried, and how it was chosen
any_distance   scores of distances that have no kernel, with intervals over families
rivals         hashes and distances that others propose
position_distances  distances that look at where bits differ
copies         near copies as they occur, and which method finds them
evasion        the least change that a method misses, and noise aimed at it
together       two hashes together: sums, weighted sums, AND, OR, a cascade
nonmatching    distances of unrelated images, and thresholds chosen from them
kinds          false pairs that advised radii let in, on pictures of many kinds
opening        three hard pictures that notebook 05 opens with
many_hashes    files hashed by many hashers, each file decoded a few times
hard_cases     where methods fail: the closest unrelated images, plain pictures, wrong labels
accuracy       every method scored on every pair of a set of families
likeness       whether families look like those of FIN's class set
turns          turned and mirrored copies, and what finding them costs
wrong_labels   whether wrong labels explain errors, and how many the class set has
preparation    what `--prepare` finds and confuses: whether it should be the default
near_pairs     near pairs found by bit sampling, to measure its recall
captioned_web  dHashes of captioned pictures, distributed as in a crawl of the web
web_like       hashes distributed as in a crawl of the web
clusterings    other clusterings to compare with the one in use
workers        hashes joined on many workers: with Dask, and at a calculated cost
growth         power laws of how time grows with the number of images
scale          clustering of millions: time, memory, quality, daily portions
scan_rates     how fast the exact engine compares hashes, next to FAISS
lookups        look-ups in service: how many a second, how soon, how much is found
faiss_indexes  FAISS's indexes compared with the exact scan
gpu            hashing and exact scans on a GPU
costs          what a number of images costs, at prices that FIN can edit
method_costs   processor time, memory and time of each method, from a thousand images up
"""
