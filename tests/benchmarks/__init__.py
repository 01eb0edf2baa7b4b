"""The benchmarks of densefn beside its peers. `python -m tests.benchmarks --help` says how to run them."""
