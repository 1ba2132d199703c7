"""Which calls each command makes on AWS, and the IAM policies that allow these and no others. Nothing runs by it.

`table.py` is written by hand and compared with recorded calls (tests/deploy/test_rights_recorded.py); `policies.py`
makes statements of it, and `python -m daemon.rights` the files in deploy/iam.
"""
