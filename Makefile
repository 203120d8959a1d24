# Two commands do all there is to set up: `make demo` and `make test`.
.POSIX:
.PHONY: demo test benchmark fuzz clean

demo:
	@sh .ci/setup demo
	@mkdir -p build
	aarch64-linux-gnu-gcc -static -O2 -s -o build/hello examples/hello.c
	.venv/bin/rootfs-tool bringup qemu-aarch64 --run build/hello

test:
	@sh .ci/setup test
	.venv/bin/python -m pytest --numprocesses 3 --dist loadfile

benchmark:
	@sh .ci/setup test
	.venv/bin/python -m benchmarks.help
	.venv/bin/python -m benchmarks.build
	.venv/bin/python -m benchmarks.initramfs
	.venv/bin/python -m benchmarks.sdcard
	.venv/bin/python -m benchmarks.flash
	.venv/bin/python -m benchmarks.bringup
	.venv/bin/python -m benchmarks.service
	.venv/bin/python -m benchmarks.tftp
	.venv/bin/python -m benchmarks.push
	.venv/bin/python -m benchmarks.console

# What it finds is left in build/.
SECONDS = 600
fuzz:
	@sh .ci/setup test
	@mkdir -p build
	.venv/bin/python -m pip install --quiet atheris
	.venv/bin/python -m tests.tftpd.fuzz_transfers -artifact_prefix=build/ -max_total_time=$(SECONDS)

clean:
	rm -rf .venv build out dist
