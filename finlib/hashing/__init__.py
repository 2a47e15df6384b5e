"""Perceptual hashes of pictures: decode files, hash them, and store the hashes in a table.

images       list, label and decode images
reference    FINd in pure Python, corrected or as FIN ships it: the answer of all other versions
certificate  why arithmetic in another order gives FINd's bits, and the bound that decides
decoding     open files as pictures; JPEGs by libjpeg-turbo where the pixels must be Pillow's
kernels      numba kernels that several hashes share: DCT, median, quality, packed bits
find         FINd as numba kernels; a picture's eight turns and mirror images from one transform
classic      aHash, dHash and pHash as numba kernels, bit for bit imagehash's
hashers      the table of every hash studied, and hashes combined from several of them
tables       the table of hashes: its columns, Parquet and CSV
execution    one hasher over many files: serial, threads, processes or Dask; resumable
"""
