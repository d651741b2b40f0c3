"""The benchmarks: what the README says about speed, measured on this machine. Linux only: CPU time comes from /proc."""
