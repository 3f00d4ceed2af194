# ruby-libvirt on a daemon: what a Ruby program does with a guest. Prints lines.
require 'libvirt'

driver, uri = ARGV
connection = Libvirt::open(uri)
puts connection.type
domain = connection.define_domain_xml(
  "<domain type='#{driver}'><name>ruby</name><memory>65536</memory><os><type>hvm</type></os></domain>"
)
domain.create
puts domain.state.inspect, domain.info.max_mem, domain.active?, domain.persistent?
puts connection.list_all_domains.map(&:name).include?('ruby')
domain.suspend
puts domain.state.first
domain.resume
puts domain.xml_desc.include?('<name>ruby</name>')
domain.destroy
domain.undefine
begin
  connection.lookup_domain_by_name('nope')
rescue Libvirt::RetrieveError => error
  puts error.libvirt_code, error.libvirt_component, error.libvirt_level, error.libvirt_message
end
puts connection.node_info.cpus, connection.max_vcpus, connection.secure?, connection.alive?
connection.close
