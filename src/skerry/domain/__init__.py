"""The vocabulary and the rules: pure, no I/O, no clock, no `await`.

Everything here is a frozen value or a function from values to values; time comes in as an argument.
"""
