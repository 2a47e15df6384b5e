"""Pictures to hashes: decode files, compute perceptual hashes, and keep the hashes in tables.

jpeg         JPEGs at libjpeg-turbo's full speed, and how many scans they have
images       list a folder's images, read the families from their names, decode an image by Pillow
reference    FINd in pure Python: the answer that every other version must reproduce
certificate  why arithmetic in another order gives FINd's bits, and the bound that decides
decoding     a decoded picture, its turns and mirror images
preparing    what a viewer shows of a picture: upright, 8 bits, no alpha, no borders
kernels      numba kernels that several hashes share: DCT, median, quality, packed bits
find         FINd as numba kernels; the hashes of all turns and mirror images from one transform
classic      aHash, dHash and pHash as numba kernels, bit for bit imagehash's
hashers      the table of every hash studied, and hashes combined from several of them
tables       the table of hashes: its columns, Parquet and CSV
execution    one hasher over many files: serial, threads, processes or Dask; resumable
"""
