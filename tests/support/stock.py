"""Stock arq's own worker, whoever has imported `offload.arq` before."""

from typing import Any, cast

from offload.worker import Worker

StockWorker = cast("Any", Worker.__bases__[0])
