"""Files as records, one after the other, however large the file is: JSON lines, a JSON list, CSV, Parquet.

What cannot be read as a record is a record with a fault; reading goes on behind it where there is a way to find the next.
"""
