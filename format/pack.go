// SPDX-License-Identifier: GPL-2.0-or-later

package format

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// pack compresses a payload into one zstd frame that says its size and carries
// no checksum (the manifest has digests). The same input gives the same frame.
func pack(payload []byte) ([]byte, error) {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderLevel(zstd.SpeedBestCompression),
		zstd.WithEncoderCRC(false),
		zstd.WithSingleSegment(true))
	if err != nil {
		return nil, err
	}
	defer enc.Close()
	return enc.EncodeAll(payload, nil), nil
}

// unpack is the inverse of pack. size is that of the payload, in bytes; the
// memory that is taken does not depend on what the frame says.
func unpack(frame []byte, size int64) ([]byte, error) {
	if err := checkFrame(frame, size); err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxMemory(uint64(max(size, minDecoderMemory))),
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	payload, err := dec.DecodeAll(frame, make([]byte, 0, size))
	if err != nil {
		return nil, err
	}
	if int64(len(payload)) != size {
		return nil, fmt.Errorf("%d bytes, expected %d", len(payload), size)
	}
	return payload, nil
}

// minDecoderMemory keeps the decoder's limit above the smallest window that
// the format knows, in bytes.
const minDecoderMemory = 1 << 10

// checkFrame wants exactly one frame, of a single segment with its content's
// size, no dictionary and no checksum.
func checkFrame(frame []byte, size int64) error {
	var h zstd.Header
	if err := h.Decode(frame); err != nil {
		return err
	}
	if h.Skippable || !h.SingleSegment || !h.HasFCS || h.HasCheckSum || h.DictionaryID != 0 {
		return errors.New("frame: not a single segment without dictionary and checksum")
	}
	if h.FrameContentSize != uint64(size) {
		return fmt.Errorf("frame: content size %d, expected %d", h.FrameContentSize, size)
	}
	rest := frame[h.HeaderSize:]
	for {
		if len(rest) < 3 {
			return errors.New("frame: cut short")
		}
		block := uint32(rest[0]) | uint32(rest[1])<<8 | uint32(rest[2])<<16
		length := int(block >> 3)
		if kind := block >> 1 & 3; kind == 1 { // one byte, repeated
			length = 1
		}
		if len(rest)-3 < length {
			return errors.New("frame: cut short")
		}
		rest = rest[3+length:]
		if block&1 != 0 { // the last block
			break
		}
	}
	if len(rest) > 0 {
		return fmt.Errorf("frame: %d bytes after its end", len(rest))
	}
	return nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
