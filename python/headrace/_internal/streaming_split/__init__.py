"""One run of a dataset dealt out to n consumers, in threads and processes, epoch after epoch.

dealing.py      which rows go to which rank
coordinator.py  the epochs: who waits, reads, is lost; in the process that made the split
server.py       lends the coordinator to other processes
wire.py         messages between them, and tables in shared memory
client.py       the coordinator as another process sees it
iterator.py     the `DataIterator` of one rank, which can be pickled
"""
