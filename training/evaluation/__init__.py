"""Evaluation: restorers measured on published test suites by published protocols."""
