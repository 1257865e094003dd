"""Discrepancies beyond the golden data."""
