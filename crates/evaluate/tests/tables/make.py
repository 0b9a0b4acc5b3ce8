"""Makes the small Parquet files of the tests: `python make.py` with pyarrow writes them beside itself."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent

rows = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
label = pa.array(["owl", "fox", "owl"])
lists = pa.table({"embedding": pa.array(rows, pa.list_(pa.float32())), "label": label, "id": pa.array([7, 8, 9])})
pq.write_table(lists, HERE / "lists.parquet", compression="snappy")
columns = pa.table({"a": pa.array([r[0] for r in rows]), "b": pa.array([r[1] for r in rows]), "label": label})
pq.write_table(columns, HERE / "columns.parquet", compression="gzip")
