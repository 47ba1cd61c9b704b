// SPDX-License-Identifier: GPL-2.0-or-later

package format

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// magic begins a bundle. Like PNG's it does not survive a transfer as text.
const magic = "\x89ulp\r\n\x1a\n"

const (
	headerSize   = 32                                       // bytes
	maxSigBlock  = 4 + MaxSignatures*(4+MaxSignature)       // bytes
	maxSignedLen = headerSize + MaxManifestSize + MaxPacked // bytes
)

// MaxSize is the size of the largest bundle, in bytes.
const MaxSize = maxSignedLen + maxSigBlock

// header is the fixed start of a bundle, little-endian:
//
//	0   magic
//	8   version        uint32
//	12  flags          uint32, zero
//	16  manifest size  uint64
//	24  payloads size  uint64
type header struct {
	manifest, payloads int64 // bytes
}

// signed is the number of bytes that signatures cover: header, manifest and
// payloads.
func (h header) signed() int64 { return headerSize + h.manifest + h.payloads }

func (h header) append(out []byte) []byte {
	out = append(out, magic...)
	out = binary.LittleEndian.AppendUint32(out, Version)
	out = binary.LittleEndian.AppendUint32(out, 0)
	out = binary.LittleEndian.AppendUint64(out, uint64(h.manifest))
	return binary.LittleEndian.AppendUint64(out, uint64(h.payloads))
}

// parseHeader reads the header of a file of size bytes.
func parseHeader(data []byte, size int64) (header, error) {
	if len(data) < headerSize {
		return header{}, fmt.Errorf("%w: %d bytes", ErrEnvelope, size)
	}
	if string(data[:len(magic)]) != magic {
		return header{}, fmt.Errorf("%w: it does not begin like one", ErrEnvelope)
	}
	if v := binary.LittleEndian.Uint32(data[8:]); v != Version {
		return header{}, fmt.Errorf("%w: %d", ErrVersion, v)
	}
	if flags := binary.LittleEndian.Uint32(data[12:]); flags != 0 {
		return header{}, fmt.Errorf("%w: flags %#x", ErrEnvelope, flags)
	}
	manifest, payloads := binary.LittleEndian.Uint64(data[16:]), binary.LittleEndian.Uint64(data[24:])
	if manifest == 0 || manifest > MaxManifestSize {
		return header{}, fmt.Errorf("%w: manifest of %d bytes, not between 1 and %d", ErrEnvelope, manifest, MaxManifestSize)
	}
	if payloads == 0 || payloads > MaxPacked {
		return header{}, fmt.Errorf("%w: payloads of %d bytes, not between 1 and %d", ErrEnvelope, payloads, MaxPacked)
	}
	h := header{int64(manifest), int64(payloads)}
	if h.signed() > size {
		return header{}, fmt.Errorf("%w: cut short: %d of at least %d bytes", ErrEnvelope, size, h.signed())
	}
	if size-h.signed() > maxSigBlock {
		return header{}, fmt.Errorf("%w: %d bytes of signatures, more than %d", ErrEnvelope, size-h.signed(), maxSigBlock)
	}
	return h, nil
}

// The signature block is a count (uint32), then for each signature its length
// in bytes (uint32) and its text. A bundle without signatures has no block.

func appendSignatures(out []byte, signatures [][]byte) []byte {
	if len(signatures) == 0 {
		return out
	}
	out = binary.LittleEndian.AppendUint32(out, uint32(len(signatures)))
	for _, s := range signatures {
		out = binary.LittleEndian.AppendUint32(out, uint32(len(s)))
		out = append(out, s...)
	}
	return out
}

func parseSignatures(block []byte) ([][]byte, error) {
	if len(block) == 0 {
		return nil, nil
	}
	count, block, err := parseUint32(block)
	if err != nil {
		return nil, err
	}
	if count == 0 || count > MaxSignatures {
		return nil, fmt.Errorf("%w: %d signatures, not between 1 and %d", ErrEnvelope, count, MaxSignatures)
	}
	signatures := make([][]byte, count)
	for i := range signatures {
		var length uint32
		if length, block, err = parseUint32(block); err != nil {
			return nil, err
		}
		if length == 0 || length > MaxSignature {
			return nil, fmt.Errorf("%w: signature %d of %d bytes, not between 1 and %d", ErrEnvelope, i, length, MaxSignature)
		}
		if uint64(length) > uint64(len(block)) {
			return nil, errSignaturesShort
		}
		signatures[i], block = block[:length:length], block[length:]
	}
	if len(block) > 0 {
		return nil, fmt.Errorf("%w: %d bytes after its end", ErrEnvelope, len(block))
	}
	return signatures, nil
}

var errSignaturesShort = fmt.Errorf("%w: %w", ErrEnvelope, errors.New("signatures cut short"))

func parseUint32(data []byte) (uint32, []byte, error) {
	if len(data) < 4 {
		return 0, nil, errSignaturesShort
	}
	return binary.LittleEndian.Uint32(data), data[4:], nil
}
