"""Pictures to hashes: decode a file, compute a perceptual hash, keep the hashes of many files in a table.

images       list, label and decode images
reference    FINd as FIN ships it, in pure Python: the answer every other version must reproduce
certificate  why reordered arithmetic gives FINd's bits, and the bound that decides
decoding     a JPEG's pixels from libjpeg-turbo, where they are certain to be Pillow's
kernels      numba kernels that several hashes share: DCT, median, packed bits, quality
find         FINd as numba kernels; a picture's eight turns and mirror images from one transform
classic      aHash, dHash and pHash as numba kernels, bit for bit imagehash's
hashers      the table of every hash studied, and hashes combined from several of them
tables       the table of hashes: its columns, Parquet and CSV
execution    one hasher over many files: serial, threads, processes or Dask; resumable
"""
