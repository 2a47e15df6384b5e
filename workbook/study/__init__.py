"""What the notebooks measure with: data sets, scores, timing, robustness, growth, costs.

transforms     what happens to an image on its way round the web; captions
templates      pictures to put captions on
families       the built-in families: templates, captions, the cache
vectorised     FINd in NumPy, single image and batch, in the array API's terms
timing         time calls side by side, results compared; the memory a call needs at its peak
anatomy        what a hash is made of: stages to be looked at, bits that flip
baseline       where FINd's time and memory go: stages, functions, lines
optimisation   what the optimised versions cost, and how sure their bits are
targets        what the speed should be, and is
robustness     what survives when an image is changed on its way
uncertainty    how sure a score is: families resampled, thresholds held out
evidence       the rule that decides which hash FIN should use
together       two hashes together: sums, weighted sums, AND, OR, a cascade
strangers      how far unrelated images' distances can be told; thresholds
hard_cases     where methods fail: the closest strangers, plain pictures, label noise
near_pairs     near pairs listed by bit sampling, whose recall is measured with them
web_like       simulated hashes such as a crawl of the web brings
clusterings    other clusterings, to compare `finlib.cluster` with
workers        hashes joined on many workers: with Dask, and calculated
growth         power laws of how time grows with the number of images
scale          clustering of millions: time, memory, quality, daily portions
faiss_indexes  FAISS's indexes beside the exact scan
costs          what a number of images costs, at prices that FIN can edit
"""
