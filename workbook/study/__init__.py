"""What the notebooks measure with: data sets, scores, timing, robustness, growth, costs.

package_files  files that other packages ship: photographs and a font
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
nonmatching    how far unrelated images' distances can be told; thresholds
hard_cases     where methods fail: the closest strangers, plain pictures, label noise
hash_model     hash sets of any size with the distances of real ones
near_pairs     near pairs listed by bit sampling, to measure its recall
web_like       hashes as a crawl of the web brings them
clusterings    clusterings that the one in use is compared with
workers        what many workers do with many hashes, played through
growth         growth laws, distances as products for a GPU
scale          clustering of millions: time, memory, quality, daily portions
faiss_indexes  FAISS's indexes beside the exact scan
costs          what a number of images costs, at prices that FIN can edit
"""
