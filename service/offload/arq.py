"""Puts our Worker where the arq CLI looks, by changing two attributes of the package `arq`.

`arq.worker.create_worker` builds whatever `arq.worker.Worker` names at call time, and `get_kwargs` reads that class'
signature. So `arq some.WorkerSettings` runs Offload's engine once this module was imported: write `import offload.arq`
in the module of your WorkerSettings.
"""

import arq
import arq.worker

from offload.worker.worker import Worker

arq.worker.Worker = arq.Worker = Worker  # type: ignore[misc]
