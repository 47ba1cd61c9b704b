#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# make.sh [CASE ...]
#
# Compiles the cases of this folder, all of them if none is named, and writes
# MANIFEST. ../README.md tells what a case looks like. The same versions of the
# tools give the same bytes.
set -eEu
shopt -s nullglob
export LC_ALL=C SOURCE_DATE_EPOCH=0
root=$(cd "$(dirname "$0")" && pwd)

# Small images, which nobody runs: no start files, no alignment to pages.
common_cflags=(-O2 -fPIE)
common_ldflags=(-nostartfiles -Wl,--build-id=sha1 -Wl,--hash-style=gnu
	-Wl,-z,max-page-size=4096 -Wl,-z,noseparate-code -Wl,-z,norelro)

# What a case.sh may set, or do: flags for all variants, other objects to link
# ($linked, beside orig and fixed), something about the finished files.
cflags=() ldflags=()
before_link() { :; }
after_link() { :; }
wanted=()
variant() { # [ARCH/]COMPILER[-plain][-NAME] [CFLAG ...] [-- LDFLAG ...]
	local arch
	case $1 in
	*/*) wanted+=("$*") ;;
	*) for arch in x86_64 aarch64; do wanted+=("$arch/$*"); done ;;
	esac
}

compiler() { # LANGUAGE: the command for this variant
	local gcc=gcc clang=clang
	[[ $1 == c ]] || { gcc=g++ clang=clang++; }
	case $arch/$name in
	x86_64/gcc*) echo "$gcc" ;;
	aarch64/gcc*) echo "aarch64-linux-gnu-$gcc" ;;
	*/clang*) echo "$clang --target=$arch-linux-gnu" ;;
	esac
}

binutil() { # TOOL: binutils' for this variant
	[[ $arch == x86_64 ]] && echo "$1" || echo "$arch-linux-gnu-$1"
}

language() { # FILE
	[[ $1 == *.cc ]] && echo c++ || echo c
}

compile() { # SIDE FOLDER [CFLAG ...]: the sources of a side into a folder of objects
	local side=$1 folder=$2 file source
	shift 2
	mkdir -p "$work/$folder" "$work/src"
	local map=() # nothing but debug information names folders
	[[ " ${flags[*]} " != *" -g "* ]] || map=(-ffile-prefix-map="$work/src=.")
	for file in "$case/$side".* "$case/$side"/*; do
		[[ -f $file ]] || continue
		source=$(basename "$file") # both sides of a unit have one name
		[[ $(dirname "$file") == "$case/$side" || $side == other ]] || source=unit.${file##*.}
		cp "$file" "$work/src/$source"
		(cd "$work/src" && $(compiler "$(language "$source")") "${flags[@]}" "$@" \
			"${map[@]}" -c "$source" -o "../$folder/${source%.*}.o")
	done
}

build() {
	compile orig orig
	compile fixed fixed
	compile other other # of the image, but not of the patch
	linked=orig
	before_link
	(cd "$work" && $(compiler "$lang") "${common_ldflags[@]}" "${link[@]}" -o image $linked/*.o other/*.o)
	(cd "$work" && after_link)
	rm -rf "${case:?}/$arch/$name"
	mkdir -p "$case/$arch/$name"
	cp -r "$work"/{orig,fixed,image*} "$case/$arch/$name/"
	chmod -R a-x,u+w,a+rX "$case/$arch/$name"
}

make_case() {
	case=$root/$1
	lang=$(language "$(find "$case" -name '*.cc' -print -quit)")
	[[ ! -e $case/case.sh ]] || . "$case/case.sh"
	if ((${#wanted[@]} == 0)); then
		for name in gcc gcc-plain clang clang-plain; do variant $name; done
	fi
	rm -rf "$case/x86_64" "$case/aarch64"
	local words word
	for words in "${wanted[@]}"; do
		read -ra words <<<"$words"
		arch=${words[0]%%/*} name=${words[0]#*/}
		flags=("${common_cflags[@]}" -ffunction-sections -fdata-sections) link=()
		[[ $name != *-plain* ]] || flags=("${common_cflags[@]}")
		[[ $name != clang* ]] || link+=(-fuse-ld=lld)
		flags+=("${cflags[@]}") link+=("${ldflags[@]}")
		local -n into=flags
		for word in "${words[@]:1}"; do
			if [[ $word == -- ]]; then
				local -n into=link
			else
				into+=("$word")
			fi
		done
		[[ " ${link[*]} " == *" -shared "* ]] || link+=(-Wl,-e,main)
		[[ " ${link[*]} " == *" -shared "* || " ${link[*]} " == *" -no-pie "* ]] || link+=(-pie)
		work=/tmp/ulpatch-fixture-$1 # objects for link-time optimisation name their folder
		rm -rf "$work"
		mkdir "$work"
		trap 'echo "make.sh: $case: $arch/$name: failed" >&2' ERR
		build
		rm -rf "$work"
	done
}

manifest() {
	echo "# What the objects and images of this folder were made with, by make.sh."
	local tool
	for tool in gcc g++ aarch64-linux-gnu-gcc aarch64-linux-gnu-g++ clang ld.bfd aarch64-linux-gnu-ld.bfd ld.lld objcopy; do
		printf '%-26s%s\n' "$tool" "$($tool --version | head -n 1)"
	done
	printf '%-26s%s\n' libc6 "$(dpkg-query -W -f '${Version}' libc6-dev) $(dpkg-query -W -f '${Version}' libc6-dev-arm64-cross) (arm64)"
}

case ${1-} in
--case) make_case "$2" ;;
*)
	if (($# == 0)); then
		cd "$root"
		set -- */
	fi
	printf '%s\n' "${@%/}" | xargs -P "$(nproc)" -I '{}' "$root/make.sh" --case '{}'
	manifest >"$root/MANIFEST"
	;;
esac
