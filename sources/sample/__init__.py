"""The sample city: deliveries of a synthetic Chongqing with a truth to compare with.

Belongs here: making the model, writing what offices would hand in, and counting the truth on a path of its own.
Does not belong here: anything the product needs to run; nothing outside the demonstration, the benchmarks and the tests
imports this package. Everything it writes is synthetic (合成数据).
"""

from sources.sample.build import SampleSummary, write_sample
from sources.sample.profiles import PROFILES, SAMPLE_YEARS

__all__ = ["PROFILES", "SAMPLE_YEARS", "SampleSummary", "write_sample"]
