"""The host half: captures frames of one composition on the machine it runs on.

Standard library only; ships to hosts as one `capture.pyz`. Deliberately knows nothing of `fleet`.
"""
