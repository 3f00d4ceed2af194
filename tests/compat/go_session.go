// What a program over go-libvirt (a client of its own in Go, as Terraform's provider has it) sees of a connection:
// go_session URI SOCKET
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sort"
	"time"

	"github.com/digitalocean/go-libvirt"
	"github.com/digitalocean/go-libvirt/socket/dialers"
)

const document = `<domain type='KIND'><name>gone</name><uuid>99999999-0000-1111-2222-444444444444</uuid>
<memory>65536</memory><os><type arch='ARCH' machine='MACHINE'>hvm</type></os></domain>`

func check(err error) {
	if err != nil {
		fmt.Println("error:", err)
	}
}

func main() {
	uri, kind := os.Args[1], "test"
	if uri[:4] == "qemu" {
		kind = "qemu"
	}
	l := libvirt.NewWithDialer(dialers.NewLocal(dialers.WithSocket(os.Args[2])))
	if err := l.ConnectToURI(libvirt.ConnectURI(uri)); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	kindOf, err := l.ConnectGetType()
	fmt.Println(kindOf, err)

	events, err := l.LifecycleEvents(context.Background())
	check(err)

	values := map[string]string{"KIND": kind, "ARCH": "x86_64", "MACHINE": "pc"}
	if kind == "test" {
		values["ARCH"], values["MACHINE"] = "i686", "none"
	}
	text := []byte(document)
	for name, value := range values {
		text = bytes.ReplaceAll(text, []byte(name), []byte(value))
	}
	domain, err := l.DomainDefineXMLFlags(string(text), 0)
	check(err)
	fmt.Printf("%s %x %d\n", domain.Name, domain.UUID, domain.ID)
	check(l.DomainCreate(domain))
	state, reason, err := l.DomainGetState(domain, 0)
	fmt.Println("state", state, reason, err)
	check(l.DomainSuspend(domain))
	check(l.DomainResume(domain))
	_, max, memory, vcpus, _, err := l.DomainGetInfo(domain)
	fmt.Println("info", max, memory, vcpus, err)
	parameters, _, err := l.DomainGetMemoryParameters(domain, 0, 0)
	fmt.Println("parameters", len(parameters), err)
	domains, count, err := l.ConnectListAllDomains(1, libvirt.ConnectListDomainsActive|libvirt.ConnectListDomainsInactive)
	check(err)
	names := []string{}
	for _, one := range domains {
		names = append(names, one.Name)
	}
	sort.Strings(names)
	fmt.Println(names, count)
	xml, err := l.DomainGetXMLDesc(domain, libvirt.DomainXMLInactive)
	fmt.Println(xml, err)
	stats, err := l.ConnectGetAllDomainStats([]libvirt.Domain{domain}, uint32(libvirt.DomainStatsState|libvirt.DomainStatsVCPU), 0)
	check(err)
	for _, record := range stats {
		for _, value := range record.Params {
			if value.Field == "state.state" || value.Field == "vcpu.maximum" {
				fmt.Println(value.Field, value.Value.I)
			}
		}
	}
	if kind == "test" {
		network, err := l.NetworkLookupByName("default")
		check(err)
		bridge, err := l.NetworkGetBridgeName(network)
		fmt.Println(network.Name, bridge, err)
		pool, err := l.StoragePoolLookupByName("default-pool")
		check(err)
		poolXML, err := l.StoragePoolGetXMLDesc(pool, 0)
		fmt.Println(poolXML, err)
		volume, err := l.StorageVolCreateXML(pool, "<volume><name>gone.img</name><capacity>1048576</capacity></volume>", 0)
		check(err)
		fmt.Println(volume.Name, volume.Key)
		check(l.StorageVolDelete(volume, 0))
		var picture bytes.Buffer
		_, err = l.DomainScreenshot(domain, &picture, 0, 0)
		fmt.Println("picture", picture.Len() > 1000, err)
	}
	check(l.DomainDestroy(domain))
	check(l.DomainUndefine(domain))
	_, err = l.DomainLookupByName("nope")
	fmt.Println(err)

	// Defined, started (resumed too, on QEMU), paused, resumed, stopped, undefined. Whether QEMU still says by itself
	// that it ends (shutdown) when it is destroyed depends on who is quicker.
	heard := []string{}
	for waiting := true; waiting; {
		select {
		case event := <-events:
			if event.Event != int32(libvirt.DomainEventShutdown) {
				heard = append(heard, fmt.Sprint(event.Dom.Name, ":", event.Event, ".", event.Detail))
			}
			waiting = event.Event != int32(libvirt.DomainEventUndefined)
		case <-time.After(20 * time.Second):
			heard = append(heard, "no more")
			waiting = false
		}
	}
	fmt.Println(heard)
	check(l.Disconnect())
}
