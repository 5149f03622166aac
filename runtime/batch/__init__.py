"""Batch processing: plan the output files, process pictures concurrently, and resume runs."""
