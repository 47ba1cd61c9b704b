// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"sync"
	"time"
)

// watch keeps probing instances, each on its own, until it is ended.
type watch struct {
	stop  chan struct{}
	group sync.WaitGroup
	pause sync.RWMutex // held for reading by every probe

	lock    sync.Mutex
	probes  int
	slowest time.Duration
	wrong   error // the first wrong answer
}

func startWatch(instances []*instance) *watch {
	w := &watch{stop: make(chan struct{})}
	for _, one := range instances {
		w.group.Go(func() {
			for w.probe(one) {
				select {
				case <-w.stop:
					return
				case <-time.After(2 * time.Millisecond):
				}
			}
		})
	}
	return w
}

// probe makes one request and says whether to go on.
func (w *watch) probe(one *instance) bool {
	w.pause.RLock()
	started := time.Now()
	err := one.probe()
	took := time.Since(started)
	w.pause.RUnlock()

	w.lock.Lock()
	defer w.lock.Unlock()
	w.probes++
	w.slowest = max(w.slowest, took)
	if err != nil && w.wrong == nil {
		w.wrong = fmt.Errorf("%s: %w", one.daemon.name, err)
		if dead := one.daemon.ended(); dead != nil {
			w.wrong = dead
		}
	}
	return err == nil
}

// aside runs f between probes: checks may empty a database.
func (w *watch) aside(f func()) {
	w.pause.Lock()
	defer w.pause.Unlock()
	f()
}

// count returns the number of probes so far, and the first wrong answer.
func (w *watch) count() (int, error) {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.probes, w.wrong
}

// serving waits until every instance had time to answer again.
func (w *watch) serving(instances int) error {
	before, err := w.count()
	for limit := time.Now().Add(seconds(15)); err == nil && time.Now().Before(limit); {
		time.Sleep(5 * time.Millisecond)
		var now int
		if now, err = w.count(); now >= before+3*instances {
			return err
		}
	}
	if err == nil {
		err = fmt.Errorf("no answers any more")
	}
	return err
}

func (w *watch) end() (slowest time.Duration, err error) {
	close(w.stop)
	w.group.Wait()
	return w.slowest, w.wrong
}
