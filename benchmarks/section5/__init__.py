"""The paper's Section 5 at a small width and few steps: its trainings, measurements and tables."""
