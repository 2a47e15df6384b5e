"""The command line: FIN's daily work without writing Python.

cli            the words of the `finlib` command: its parts, arguments and help, and nothing else
inputs         what a command is given: folders, images, tables of hashes
hash_lists     lists of known hashes as others exchange them
names          which names lead to one file
output         what a command says and may write, and the folder of its unfinished work
methods        what hashes are compared by: a hasher and a distance together
hashing        `finlib hash`: a table of hashes, which only grows
search         `finlib match`: pairs of files whose hashes are near, found step by step
answer         the answer of `finlib match` about one picture, in lines for the terminal
blocks         small pictures in a terminal
cluster        `finlib cluster`: groups of files whose hashes are alike
verdicts       what a person has judged of pairs of files, remembered from run to run
page           `finlib show`: a page of pairs or clusters to look at and to mark right or wrong
duplicates     `finlib duplicates`: groups of alike images in a folder, the file to keep first
grouping       which files are copies of each other, at one of three levels
turned         turned and mirrored copies, by hashes that are kept from run to run
keeping        rules for which of several copies to keep, and why
detail         how much real detail a picture's file holds
recompression  whether a JPEG was made from another file's picture
measured       the detail of pictures, kept from run to run
actions        the list and the scripts that `finlib duplicates --then` writes
evaluate       `finlib evaluate`: scores of hashers on labelled images
process        the process of a command: memory, warnings, errors and the exit status
streams        standard streams that may be closed or break
interruption   Ctrl-C ends a run in about two seconds
"""
