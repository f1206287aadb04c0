"""The fixture videocore, as a user's tests have it."""

from __future__ import annotations

import pytest


def test_a_fresh_model_for_each_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import vcsm

        def test_first(videocore):
            with vcsm.SharedMemory(10, "first") as block:
                videocore.hold(block.videocore_handle)
            assert len(videocore.list()) == 1

        def test_second(videocore):
            assert videocore.list() == []
            assert vcsm.blocks() == []
            assert videocore is vcsm.videocore
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=2)


def test_a_leaked_block_fails_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import vcsm

        kept = []

        def test_leaks(videocore):
            kept.append(vcsm.SharedMemory(10, "forgotten"))

        def test_next(videocore):
            assert vcsm.blocks() == []
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*1 block(s) not freed at the end of the test: 'forgotten' of 10 bytes*"])


def test_a_leaked_pool_and_a_leaked_block_of_one_fail_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import vcsm

        kept = []

        def test_leaks_a_pool(videocore):
            kept.append(vcsm.Pool(4096))

        def test_leaks_a_block(videocore):
            with vcsm.Pool(4096) as pool:
                kept.append(pool.allocate(10))

        def test_leaks_a_ring(videocore):
            kept.append(vcsm.Ring(2, 10, "ring"))

        def test_leaks_nothing(videocore):
            with vcsm.Pool(4096) as pool, vcsm.Ring(2, 10):
                pool.allocate(10)
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=4, errors=3)
    result.stdout.fnmatch_lines(
        ["*1 pool(s) still have memory*", "*1 pool(s) still have memory*", "*2 block(s) not freed*'ring' of 10 bytes*"]
    )


def test_a_leaked_lock_fails_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import vcsm

        kept = []

        def test_leaks(videocore):
            block = vcsm.SharedMemory(10, "locked")
            kept.append(block.lock())
            kept.append(block)

        def test_leaks_the_lock_alone(videocore):
            block = vcsm.SharedMemory(10, "lock alone")
            kept.append(block.lock())
            block.close()
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines(
        ["*'locked' of 10 bytes, locked 1 time(s)*", "*1 lock(s) still held at the end of the test*"]
    )


def test_a_test_that_failed_is_not_blamed_for_what_its_traceback_keeps(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import vcsm

        def test_fails(videocore):
            block = vcsm.SharedMemory(10, "in the traceback")
            assert False
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(failed=1)


def test_memory_and_faults_by_the_marker(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        import vcsm

        @pytest.mark.videocore(memory="64K", faults="lock@1=EIO")
        def test_marked(videocore):
            with pytest.raises(vcsm.OutOfMemory):
                vcsm.SharedMemory(65537, "too large")
            with vcsm.SharedMemory(65536, "fits") as block:
                with pytest.raises(vcsm.Error):
                    block.lock()

        def test_unmarked(videocore):
            with vcsm.SharedMemory(65537, "fits") as block:
                block.lock().unlock()
        """
    )
    result = pytester.runpytest_subprocess("--strict-markers")
    result.assert_outcomes(passed=2)
