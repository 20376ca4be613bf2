// A peer made of the reference implementation, for tests: it dials, takes one role, and either
// echoes what it is sent or drives streams against the other side's echo and checks every byte.
package main

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

var (
	addr     = flag.String("addr", "", "host:port to dial")
	role     = flag.String("role", "client", "client or server")
	do       = flag.String("do", "echo", "echo: answer streams; drive: open streams and check their echo; both")
	streams  = flag.Int("streams", 200, "streams to drive at once")
	size     = flag.Int("bytes", 64<<20, "bytes to drive, over all streams")
	pings    = flag.Int("pings", 0, "pings to send while driving")
	readLast = flag.Bool("read-last", false, "drive: finish writing (FIN) before reading anything")
	finFirst = flag.Bool("fin-first", false, "echo: send FIN before reading, and count what still arrives")
	goAway   = flag.Bool("go-away", false, "drive: say go-away once the streams are open, then finish them")
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
	fmt.Println("ok")
}

func run() error {
	conn, err := net.Dial("tcp", *addr)
	if err != nil {
		return err
	}
	config := yamux.DefaultConfig()
	config.LogOutput = os.Stderr
	var session *yamux.Session
	if *role == "client" {
		session, err = yamux.Client(conn, config)
	} else {
		session, err = yamux.Server(conn, config)
	}
	if err != nil {
		return err
	}
	defer session.Close()
	echoed := make(chan error, 1)
	if *do != "drive" {
		go func() { echoed <- echo(session) }()
	}
	if *do == "echo" {
		return <-echoed
	}
	return drive(session)
}

func echo(session *yamux.Session) error {
	for {
		stream, err := session.Accept()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		go func() {
			if *finFirst {
				stream.Close()
				n, _ := io.Copy(io.Discard, stream)
				fmt.Println("read", n)
				return
			}
			io.Copy(stream, stream)
			stream.Close()
		}()
	}
}

func drive(session *yamux.Session) error {
	var group sync.WaitGroup
	failures := make(chan error, *streams+1)
	opened := make([]net.Conn, *streams)
	for i := range opened {
		stream, err := session.Open()
		if err != nil {
			return fmt.Errorf("open %d: %w", i, err)
		}
		opened[i] = stream
	}
	if *goAway {
		if err := session.GoAway(); err != nil {
			return fmt.Errorf("go-away: %w", err)
		}
	}
	for i, stream := range opened {
		group.Add(1)
		go func() {
			defer group.Done()
			if err := driveOne(stream, int64(i), *size / *streams); err != nil {
				failures <- fmt.Errorf("stream %d: %w", i, err)
			}
		}()
	}
	for i := 0; i < *pings; i++ {
		rtt, err := session.Ping()
		if err != nil {
			return fmt.Errorf("ping %d: %w", i, err)
		}
		if rtt <= 0 {
			return fmt.Errorf("ping %d: no round trip", i)
		}
	}
	group.Wait()
	close(failures)
	for err := range failures {
		return err
	}
	return nil
}

func driveOne(stream net.Conn, seed int64, size int) error {
	stream.SetDeadline(time.Now().Add(2 * time.Minute))
	random := rand.New(rand.NewSource(seed))
	sent, received := sha256.New(), sha256.New()
	written := make(chan error, 1)
	go func() {
		left := size
		for left > 0 {
			chunk := make([]byte, min(left, 1+random.Intn(100_000)))
			random.Read(chunk)
			sent.Write(chunk)
			if _, err := stream.Write(chunk); err != nil {
				written <- fmt.Errorf("write: %w", err)
				return
			}
			left -= len(chunk)
		}
		written <- stream.Close()
	}()
	if *readLast {
		if err := <-written; err != nil {
			return err
		}
		written <- nil
	}
	n, err := io.Copy(received, stream)
	if err != nil {
		return fmt.Errorf("read after %d bytes: %w", n, err)
	}
	if err := <-written; err != nil {
		return err
	}
	if int(n) != size || !bytes.Equal(sent.Sum(nil), received.Sum(nil)) {
		return fmt.Errorf("%d of %d bytes came back, and not the same", n, size)
	}
	return nil
}
