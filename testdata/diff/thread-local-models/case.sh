# SPDX-License-Identifier: GPL-2.0-or-later

for compiler in gcc gcc-plain clang clang-plain; do
	variant $compiler-local-exec -ftls-model=local-exec
	variant $compiler-initial-exec -fPIC -ftls-model=initial-exec -- -shared
	variant $compiler-local-dynamic -fPIC -ftls-model=local-dynamic -- -shared -Wl,-Bsymbolic
	variant $compiler-global-dynamic -fPIC -- -shared
	variant $compiler-relaxed -fPIC
done
for compiler in gcc gcc-plain; do
	variant x86_64/$compiler-descriptors -fPIC -mtls-dialect=gnu2 -- -shared
	variant aarch64/$compiler-traditional -fPIC -mtls-dialect=trad -- -shared
done
