// Go's runtime: goroutines and channels, garbage collection, the network poller, signals, timers, a child process,
// faults that become panics.
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

type node struct {
	left, right *node
	value       int
}

func tree(depth int) *node {
	if depth == 0 {
		return &node{value: 1}
	}
	return &node{tree(depth - 1), tree(depth - 1), depth}
}

func (n *node) sum() int {
	if n == nil {
		return 0
	}
	return n.value + n.left.sum() + n.right.sum()
}

func goroutines() {
	var group sync.WaitGroup
	var lock sync.Mutex
	numbers := make(chan int, 4)
	counts := map[int]int{}
	for i := 0; i < 50; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			for k := 0; k < 50; k++ {
				lock.Lock()
				counts[k] += i
				lock.Unlock()
				if k%10 == 0 {
					numbers <- k
				}
			}
		}(i)
	}
	go func() { group.Wait(); close(numbers) }()
	sum := 0
	for n := range numbers {
		sum += n
	}
	fmt.Println("goroutines", sum, len(counts), counts[7])
}

func garbage() {
	sum := 0
	for i := 0; i < 12; i++ {
		sum += tree(11).sum()
	}
	runtime.GC()
	debug.FreeOSMemory()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Println("garbage", sum, stats.NumGC > 0)
}

func echo(kind, address string) {
	listener, err := net.Listen(kind, address)
	if err != nil {
		fmt.Println(kind, err)
		return
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				lines := bufio.NewScanner(connection)
				for lines.Scan() {
					fmt.Fprintf(connection, "%s %s\n", kind, strings.ToUpper(lines.Text()))
				}
			}()
		}
	}()
	var group sync.WaitGroup
	answers := make([]string, 8)
	for i := range answers {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			connection, err := net.Dial(kind, listener.Addr().String())
			if err != nil {
				answers[i] = err.Error()
				return
			}
			defer connection.Close()
			fmt.Fprintf(connection, "hello %d\n", i)
			answers[i], _ = bufio.NewReader(connection).ReadString('\n')
		}(i)
	}
	group.Wait()
	fmt.Print(strings.Join(answers, ""))
	fmt.Println("close", listener.Close())
}

func datagrams() {
	receiver, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	sender, _ := net.Dial("udp", receiver.LocalAddr().String())
	sender.Write([]byte("dgram"))
	buffer := make([]byte, 10)
	length, _, err := receiver.ReadFrom(buffer)
	fmt.Println(string(buffer[:length]), err)
	receiver.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
	_, _, err = receiver.ReadFrom(buffer)
	fmt.Println("timed out", os.IsTimeout(err))
}

func files() {
	folder, _ := os.MkdirTemp("", "mtemu")
	defer os.RemoveAll(folder)
	name := filepath.Join(folder, "a")
	os.WriteFile(name, []byte("data"), 0o640)
	info, _ := os.Stat(name)
	entries, _ := os.ReadDir(folder)
	_, err := os.Open(filepath.Join(folder, "none"))
	fmt.Println(len(entries), info.Size(), info.Mode(), os.IsNotExist(err))
	echo("unix", filepath.Join(folder, "socket"))
	reader, writer, _ := os.Pipe()
	go func() {
		time.Sleep(2 * time.Millisecond)
		writer.WriteString("through a pipe")
		writer.Close()
	}()
	text, _ := io.ReadAll(reader)
	fmt.Println(string(text))
}

func signalsAndTimers() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	fmt.Println(<-signals)
	limited, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	<-limited.Done()
	cancel()
	fmt.Println(limited.Err())
	ticker, ticks := time.NewTicker(time.Millisecond), 0
	for range ticker.C {
		if ticks++; ticks == 5 {
			break
		}
	}
	fmt.Println("ticks", ticks)
}

func recovered(what func()) {
	defer func() { fmt.Println("recovered:", recover()) }()
	what()
}

func main() {
	goroutines()
	garbage()
	echo("tcp", "127.0.0.1:0")
	datagrams()
	files()
	signalsAndTimers()
	recovered(func() { var p *int; *p = 1 })
	recovered(func() { a, i := []int{1}, 5; _ = a[i] })
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	words := []string{}
	for i := 0; i < 1000; i++ {
		words = append(words, fmt.Sprint(i*7919%1009))
		fmt.Fprintln(writer, words[i])
	}
	writer.Close()
	reader, _ := gzip.NewReader(&packed)
	text, _ := io.ReadAll(reader)
	sort.Strings(words)
	encoded, _ := json.Marshal(map[string]any{"words": words[500:503], "bytes": len(text), "none": nil})
	fmt.Printf("%s %x\n", encoded, sha256.Sum256(text))
	panic("the end")
}
