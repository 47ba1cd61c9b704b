// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package ptrace

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

func request(req, tid int, addr, data uintptr) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(req), uintptr(tid), addr, data, 0, 0)
	return errno
}

func regset(req, tid, note int, set []byte) (int, unix.Errno) {
	iov := unix.Iovec{Base: unsafe.SliceData(set)}
	iov.SetLen(len(set))
	errno := request(req, tid, uintptr(note), uintptr(unsafe.Pointer(&iov)))
	return int(iov.Len), errno
}

func sigmask(req, tid int, mask uint64) (uint64, unix.Errno) {
	errno := request(req, tid, unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
	return mask, errno
}

// rseqConfiguration is the kernel's struct ptrace_rseq_configuration.
type rseqConfiguration struct {
	pointer                uint64
	size, signature, flags uint32
	_                      uint32
}

func rseq(tid int) (rseqConfiguration, unix.Errno) {
	var c rseqConfiguration
	errno := request(unix.PTRACE_GET_RSEQ_CONFIGURATION, tid, unsafe.Sizeof(c), uintptr(unsafe.Pointer(&c)))
	return c, errno
}

// siginfo is the head of the kernel's siginfo_t as waitid fills it.
type siginfo struct {
	signo, errno, code int32
	_                  int32 // alignment of the union
	pid                int32
	uid                uint32
	status             int32
	_                  [100]byte
}

// signalCode is the si_code of the signal that a stopped thread is to be given.
func signalCode(tid int) (int, unix.Errno) {
	var info siginfo
	errno := request(unix.PTRACE_GETSIGINFO, tid, 0, uintptr(unsafe.Pointer(&info)))
	return int(info.code), errno
}

// pollNoConsume looks for a stop or the end of a thread and leaves the stop in
// place. It returns si_code and si_status; a code of 0 is: nothing yet.
func pollNoConsume(tid int) (code, status int, errno unix.Errno) {
	var info siginfo
	const options = unix.WSTOPPED | unix.WEXITED | unix.WALL | unix.WNOWAIT | unix.WNOHANG
	_, _, errno = unix.RawSyscall6(unix.SYS_WAITID, unix.P_PID, uintptr(tid),
		uintptr(unsafe.Pointer(&info)), options, 0, 0)
	return int(info.code), int(info.status), errno
}
