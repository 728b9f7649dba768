"""The registered model as a column of a Spark table.

    pip install 'penchant[train]' pyspark        # and a Java runtime, 17 or later
    python examples/spark/stance_column.py models:/penchant@champion TABLE.parquet OUT.parquet

TABLE has a column ``text``, one passage a row, none empty; OUT has the table's columns and ``stance``, its
probabilities, ``sentiment`` and the rest of what ``penchant score`` writes of a passage.
"""

from __future__ import annotations

import sys

import mlflow.pyfunc
from pyspark.sql import SparkSession

from inference.classifier import Classifier


def result_type(classifier: Classifier) -> str:
    """The columns that the model answers with, as Spark writes a schema."""
    columns = [f"{task.name} string" for task in classifier.tasks]
    columns += [f"{task.column(label)} double" for task in classifier.tasks for label in task.labels]
    return ", ".join([*columns, "confidence double", "abstained boolean", "n_tokens long", "truncated_tokens long"])


def main(model: str, table: str, out: str) -> None:
    """Score a table."""
    spark = SparkSession.builder.appName("penchant").getOrCreate()
    # Each Spark worker opens the model once; the package that scores travels inside it.
    udf = mlflow.pyfunc.spark_udf(spark, model, env_manager="local", result_type=result_type(Classifier.load()))
    rows = spark.read.parquet(table).withColumn("penchant", udf("text"))
    rows.select("*", "penchant.*").drop("penchant").write.mode("overwrite").parquet(out)
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
