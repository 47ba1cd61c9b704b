// SPDX-License-Identifier: GPL-2.0-or-later

package format

import (
	"fmt"
	"slices"
)

// FeatureHooks is the critical feature of a bundle of which a payload has hooks:
// a reader that would not call them must not apply it.
const FeatureHooks = "hooks"

// HookStage tells when a hook is called.
type HookStage string

// The stages, in the order in which a patch goes through them.
const (
	PreApply   HookStage = "pre-apply"
	PostApply  HookStage = "post-apply"
	PreRevert  HookStage = "pre-revert"
	PostRevert HookStage = "post-revert"
)

// HookStages are all stages, in their order.
var HookStages = []HookStage{PreApply, PostApply, PreRevert, PostRevert}

// Hook is a function of the payload that is called in the process when the patch
// comes or goes. specs/hooks.md says what it may do.
type Hook struct {
	Stage HookStage `json:"stage"`
	Name  string    `json:"name"` // of the author's function, for people
	// Symbol is the payload's function that calls it: it takes and returns nothing.
	Symbol string `json:"symbol"`
	// Progress is the payload's variable that Symbol keeps of how far it is, of
	// HookProgressSize bytes.
	Progress string `json:"progress"`
}

// HookProgressSize is the number of bytes of a hook's progress: three int32, which
// are all 0 in the payload. Started and finished become 1, result is what the
// author's function has returned, once it is finished.
const HookProgressSize = 12

// MaxHooks is how many hooks a payload can have.
const MaxHooks = 256

func checkHooks(hooks []Hook) error {
	if len(hooks) > MaxHooks {
		return fmt.Errorf(": %d, more than %d", len(hooks), MaxHooks)
	}
	before := 0
	seen := map[string]bool{}
	for i, h := range hooks {
		stage := slices.Index(HookStages, h.Stage)
		if stage < 0 {
			return fmt.Errorf("[%d]: unknown stage %q", i, h.Stage)
		}
		if stage < before {
			return fmt.Errorf("[%d]: stage %s: not in their order", i, h.Stage)
		}
		before = stage
		for _, text := range []string{h.Name, h.Symbol, h.Progress} {
			if err := checkName(text); err != nil {
				return fmt.Errorf("[%d]: %q: %w", i, text, err)
			}
		}
		if seen[h.Symbol] || seen[h.Progress] || h.Symbol == h.Progress {
			return fmt.Errorf("[%d]: symbol %q or %q is another hook's", i, h.Symbol, h.Progress)
		}
		seen[h.Symbol], seen[h.Progress] = true, true
	}
	return nil
}
