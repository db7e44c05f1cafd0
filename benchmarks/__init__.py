"""Speed and quality against peers. Each module prints ratios measured in one run; `python -m benchmarks` lists them."""
