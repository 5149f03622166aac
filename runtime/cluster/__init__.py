"""Enhances many pictures on the machines of a Ray cluster, with Ray Data.

The driver plans the run, hands out names of pictures, and keeps the record. Workers, one actor
each, load the model once, and read, enhance and write the pictures themselves, so that no pixels
travel through Ray. Ray is imported only when a run begins.
"""
