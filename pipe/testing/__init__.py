"""What authors of adapters and flows test with: fakes that keep the engine's promises, and suites to inherit.

    class TestMyQueue(SinkContract):
        @pytest.fixture
        async def peer(self): ...

Importing the suites needs pytest; the fakes do not: `from pipe.testing.suites import SinkContract`.
"""

from pipe.testing import faults
from pipe.testing.clock import FakeClock
from pipe.testing.doors import FakeDoor, FakeDoors
from pipe.testing.fault_proxy import FaultProxy
from pipe.testing.memory import MemorySink, MemorySource
from pipe.testing.services import FakeServices

__all__ = ["FakeClock", "FakeDoor", "FakeDoors", "FakeServices", "FaultProxy", "MemorySink", "MemorySource", "faults"]
