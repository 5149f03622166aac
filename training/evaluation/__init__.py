"""Evaluation of restorers on published test suites by published protocols."""
