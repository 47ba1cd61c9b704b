// SPDX-License-Identifier: GPL-2.0-or-later

package hint

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
)

func TestOf(t *testing.T) {
	base := errors.New("refused")
	inner := With(base, "look there")
	err := With(fmt.Errorf("a: %w", errors.Join(inner, With(errors.New("b"), "or there"), inner)), "look here")
	if got, want := Of(err), []string{"look here", "look there", "or there"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q, expected %q", got, want)
	}
	if !errors.Is(err, base) || inner.Error() != "refused" {
		t.Errorf("the hint changes the error: %v", err)
	}
	if With(nil, "x") != nil || Of(nil) != nil || Of(base) != nil {
		t.Error("hints out of nothing")
	}
}
