"""Puts our Worker where the arq CLI looks: the one thing in this project that changes another package.

`arq.worker.create_worker` builds whatever `arq.worker.Worker` names at call time, and `get_kwargs` reads that class'
signature. So `arq some.WorkerSettings` runs Offload's engine once this module was imported; `jobs` imports it, and a
project with a WorkerSettings of its own writes `import service.worker.install`.
"""

import arq
import arq.worker

from service.worker.worker import Worker

arq.worker.Worker = arq.Worker = Worker  # type: ignore[misc]
