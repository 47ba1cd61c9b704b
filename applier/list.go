// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"errors"
	"strings"

	"github.com/ulpatch/ulpatch/applier/proc"
)

// Patch is a patch in a process.
type Patch struct {
	ID      string   `json:"id"`
	Version int      `json:"version"`
	PID     int      `json:"pid"`
	Process string   `json:"process"` // its name
	State   string   `json:"state"`   // active, reverted, ...
	Images  []Target `json:"images"`
}

// List tells which patches are in a process. It stops nothing.
func List(pid int) ([]Patch, error) {
	p, err := open(pid)
	if err != nil {
		return nil, (*operation)(nil).fail(pid, StageDiscover, err)
	}
	defer p.close()
	return p.patches(), nil
}

// ListAll tells which patches are in any process. Processes that end meanwhile
// or are not ours to look at are left out; err joins what else went wrong.
func ListAll() (patches []Patch, err error) {
	pids, err := proc.Processes()
	if err != nil {
		return nil, err
	}
	for _, pid := range pids {
		live, merr := proc.LiveThread(pid)
		if merr != nil {
			continue
		}
		maps, merr := proc.ReadMaps(live)
		if merr != nil || !patched(maps) {
			continue
		}
		list, lerr := List(pid)
		if lerr != nil && !errors.Is(lerr, proc.ErrNoProcess) {
			err = errors.Join(err, lerr)
		}
		patches = append(patches, list...)
	}
	return patches, err
}

func patched(maps proc.Maps) bool {
	for _, m := range maps {
		if strings.HasPrefix(m.Path, memfdPrefix) {
			return true
		}
	}
	return false
}

// patches groups the records of a process by patch, in the order of their
// activation.
func (p *process) patches() []Patch {
	var list []Patch
	index := map[[2]string]int{}
	for _, r := range p.records {
		key := [2]string{r.ID, r.State.String()}
		i, ok := index[key]
		if !ok {
			i = len(list)
			index[key] = i
			list = append(list, Patch{
				ID: r.ID, Version: r.Version, PID: p.id.PID, Process: p.status.Name, State: r.State.String(),
			})
		}
		list[i].Images = append(list[i].Images, target(r))
	}
	return list
}
