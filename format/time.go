// SPDX-License-Identifier: GPL-2.0-or-later

package format

import (
	"fmt"
	"time"
)

// Time is an instant in seconds since 1970, that is written
// "2030-01-02T03:04:05Z"; 0 is none and written "".
type Time int64

// maxTime is the last second that has a year of four digits.
const maxTime Time = 253402300799

const timeForm = "2006-01-02T15:04:05Z"

// TimeOf is t without what is below a second.
func TimeOf(t time.Time) (Time, error) {
	if s := Time(t.Unix()); s >= 1 && s <= maxTime {
		return s, nil
	}
	return 0, fmt.Errorf("time %v: not after 1970 and before 10000", t)
}

// MarshalText writes a time in its only form.
func (t Time) MarshalText() ([]byte, error) {
	if t < 0 || t > maxTime {
		return nil, fmt.Errorf("time %d: not between 0 and %d", int64(t), int64(maxTime))
	}
	return []byte(t.String()), nil
}

// UnmarshalText reads what MarshalText writes and nothing else.
func (t *Time) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*t = 0
		return nil
	}
	v, err := time.Parse(timeForm, string(text))
	if err == nil {
		*t, err = TimeOf(v)
	}
	if err != nil || t.String() != string(text) {
		return fmt.Errorf("%q is not a time of the form 2030-01-02T03:04:05Z", text)
	}
	return nil
}

func (t Time) String() string {
	if t == 0 {
		return ""
	}
	return time.Unix(int64(t), 0).UTC().Format(timeForm)
}
