"""Helpers of isoloss for PyTorch: `from isoloss.export import export`, `from isoloss.evaluator import serve`."""
