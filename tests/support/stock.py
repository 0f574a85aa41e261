"""Stock arq's own worker, whoever has imported `service.worker.install` before."""

from typing import Any, cast

from service.worker import Worker

StockWorker = cast("Any", Worker.__bases__[0])
