"""Many pictures: which become which, read and computed and written at once, and resumed."""
