// Writes values.json: what the reference's own validator says of each value.
//
// npm install @atproto/lex-document @atproto/lex-json; node values.mjs ../../../../../lexicons > values.json
import fs from 'node:fs'
import path from 'node:path'
import { createRequire } from 'node:module'
const require = createRequire(process.cwd() + '/')
const { LexiconSchemaBuilder, LexiconIterableIndexer } = require('@atproto/lex-document')
const { jsonToLex } = require('@atproto/lex-json')

const here = path.dirname(new URL(import.meta.url).pathname)
const documents = []
const walk = (folder) => {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name)
    if (entry.isDirectory()) walk(file)
    else if (entry.name.endsWith('.json')) documents.push(JSON.parse(fs.readFileSync(file, 'utf8')))
  }
}
// The builder wants each reference with its "#".
const full = (ref) => (ref.includes('#') ? ref : `${ref}#main`)
const refs = (node) => {
  if (Array.isArray(node)) return node.map(refs)
  if (node === null || typeof node !== 'object') return node
  const entry = ([key, value]) =>
    key === 'ref' && typeof value === 'string' ? [key, full(value)] : key === 'refs' && Array.isArray(value) ? [key, value.map(full)] : [key, refs(value)]
  return Object.fromEntries(Object.entries(node).map(entry))
}
walk(process.argv[2])
for (const name of ['kinds.json', 'other.json']) documents.push(JSON.parse(fs.readFileSync(path.join(here, name), 'utf8')))

const BLOB = 'bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity'
const CBOR = 'bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua'
const cases = []
const add = (nsid, note, value) => cases.push({ nsid, note, value })
const KINDS = 'com.example.kinds'
const field = (name, values) => {
  for (const value of values) add(KINDS, name, { $type: KINDS, [name]: value })
}

// Formats.
field('datetime', [
  '1985-04-12T23:20:50.123Z', '1985-04-12T23:20:50Z', '1985-04-12T23:20:50.123+00:00', '1985-04-12T23:20:50.123-07:00',
  '1985-04-12T23:20:50.123456789012Z', '0001-01-01T00:00:00Z', '0000-01-01T00:00:00Z', '0000-01-01T00:00:00+01:00',
  '0000-01-01T01:00:00+01:00', '0000-01-01T00:00:00-01:00', '9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999-23:59',
  '9999-12-31T23:59:59.999+23:59', '9999-12-31T23:59:59-00:01', '1985-04-12T23:20:50.123-00:00', '1985-04-12', '',
  '1985-04-12T23:20Z', '1985-04-12 23:20:50Z', '1985-04-12t23:20:50z', '1985-04-12T23:20:50', '1985-04-12T23:20:50.Z',
  '1985-04-12T23:20:60Z', '1985-04-12T24:00:00Z', '1985-02-29T00:00:00Z', '1984-02-29T00:00:00Z', '1985-04-31T00:00:00Z',
  '1985-13-01T00:00:00Z', '1985-00-01T00:00:00Z', '1985-04-12T23:20:50+24:00', '1985-04-12T23:20:50+01:60',
  '1985-04-12T23:20:50+0100', '1985-04-12T23:20:50+01', '01985-04-12T23:20:50Z', '-1985-04-12T23:20:50Z',
  '+001985-04-12T23:20:50Z', '1985-4-12T23:20:50Z', ' 1985-04-12T23:20:50Z', '1985-04-12T23:20:50Z ',
  '1985-04-12T23:20:50.' + '1'.repeat(44) + 'Z', '1985-04-12T23:20:50,5Z', '1985-102T23:20:50Z',
])
field('uri', [
  'https://example.com', 'https://', 'https:', 'https:/', 'http://a', 'at://did:plc:abc', 'dns:example', 'did:plc:x',
  'content-type:text/plain', 'a:b', 'a:', ':a', 'example.com', '', 'https://example.com/with space', 'https://exämple.com',
  'https://example.com/日本', '1a:b', 'mailto:a@b.c', 'urn:isbn:1', 'https://example.com/\n', 'HTTPS://EXAMPLE.COM',
  'file:///etc', 'x' + 'y'.repeat(100) + ':z', 'https://a/' + 'b'.repeat(8200), 'javascript:alert(1)', 'a+b.c-d:e', '://x',
])
field('cid', [
  BLOB, CBOR, 'zdj7WWeQ43G6JJvLWQWZpyHuAMq6uYWRjkBXFad11vE2LHhQ7', 'QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n',
  BLOB.toUpperCase(), 'B' + BLOB.slice(1).toUpperCase(), 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi',
  'bafkreaa', 'bafkrei', 'example', '', BLOB + 'a', BLOB.slice(0, -1), 'f01701220' + 'c3c4733ec8affd06cf9e9ff50ffc6bcd2ec85a6170004bb709669c31de94391a',
  'mAXASIA', 'uAXASIA', BLOB + '=', BLOB + '/path', 'ipfs://' + BLOB, 'k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8',
])
field('did', [
  'did:plc:7iza6de2dwap2sbkpav7c6c6', 'did:web:example.com', 'did:plc:short', 'did:web:example.com%3A2583', 'did:web:a:b',
  'did:method:', 'did:method', 'did::x', 'DID:plc:abc', 'did:PLC:abc', 'did:m:a:', 'did:m:a%', 'did:m:a/b', 'did:m:a?b',
  'did:m:a#b', '', 'did:m:' + 'a'.repeat(2050), 'did:m1:a', 'did:m:.', 'did:m:a.',
])
field('handle', [
  'alice.test', 'Alice.Test', 'handle.invalid', 'a.b', 'alice', '.alice.test', 'alice.test.', 'al_ice.test', '-a.test',
  'a-.test', 'a.0', 'a.1com', 'a..b', '', 'xn--ls8h.test', '💩.test', 'a.' + 'b'.repeat(63), 'a.' + 'b'.repeat(64), 'a.local', '@alice.test',
])
field('atIdentifier', ['alice.test', 'did:plc:7iza6de2dwap2sbkpav7c6c6', 'alice', 'did:x', '', '@alice.test', 'did:web:a'])
field('atUri', [
  'at://did:plc:abc/app.bsky.feed.post/3jzfcijpj2z2a', 'at://alice.test', 'at://alice.test/', 'at://alice.test/app.bsky.feed.post',
  'at://alice.test/app.bsky.feed.post/', 'at://alice.test/app.bsky.feed.post/a/b', 'at://alice.test/app.bsky.feed.post/a#/frag',
  'at://alice.test#/frag', 'at://alice.test/app.bsky.feed.post#/a/b', 'at://alice.test#frag', 'at://alice.test#', 'at://alice.test/app.bsky.feed.post/a#/',
  'at://alice.test/app.bsky.feed.post?q=1', 'at://alice.test/notnsid', 'at://alice.test/app.bsky.feed.post/..', 'at://alice.test/app.bsky.feed.post/.',
  'at:alice.test', 'at:///app.bsky.feed.post', 'AT://alice.test', '', 'at://did:plc:abc/app.bsky.feed.post/' + 'a'.repeat(512),
  'at://did:plc:abc/app.bsky.feed.post/' + 'a'.repeat(513), 'at://alice.test/app.bsky.feed.post/a b', 'at://alice.test/app.bsky.feed.post/ä', 'at://alice.test//a',
  'at://alice.test#/a b', 'at://alice.test#/a#b', 'at://alice.test/app.bsky.feed.post/a%20b',
])
field('nsid', [
  'com.example.record', 'com.example', 'com.example.Record', 'com.example.3', 'com.example.a-b', 'com.exa-mple.a', '1com.example.a', 'a.b.c',
  'com..a', 'com.example.', '.com.example.a', '', 'com.example.a#b', 'com.example.*', 'com.' + 'a'.repeat(63) + '.b', 'com.' + 'a'.repeat(64) + '.b',
  'com.example.' + 'a'.repeat(63), 'com.example.' + 'a'.repeat(64), 'COM.Example.rec', 'cn.8.lex.stuff', 'com.-a.b', 'com.a-.b',
])
field('tid', ['3jzfcijpj2z2a', '7777777777777', '2222222222222', 'jzzzzzzzzzzzz', 'kzzzzzzzzzzzz', '3jzfcijpj2z2', '3jzfcijpj2z2aa', '3jzfcijpj2z21', '3JZFCIJPJ2Z2A', '', '0000000000000', '3jzf-cij-pj2z-2a'])
field('recordKey', ['3jzfcijpj2z2a', 'self', 'a:b', 'a_b~c-d.e', '.', '..', '...', '', 'a/b', 'a b', 'a#b', 'a'.repeat(512), 'a'.repeat(513), 'ä', 'any()', '%20', '@', '*'])
field('language', ['en', 'en-GB', 'zh-Hans-CN', 'i-klingon', 'x-private', 'EN', 'english', 'e', '', 'en_GB', 'en-', 'jbo', 'und', 'en-x', 'en-US-Latn', 'de-1901-1901', 'sgn-BE-FR', 'aaaa', 'a'.repeat(200), '123', 'en-a-bb', 'cel-gaulish', 'pt-br'])
// Strings.
field('bytes10', ['', 'abcdefghij', 'abcdefghijk', 'ääääää', 'äääää', 'a', 7, null, ['a'], {}])
field('graphemes3', ['abc', 'abcd', '👨‍👩‍👧‍👧👨‍👩‍👧‍👧👨‍👩‍👧‍👧', '👨‍👩‍👧‍👧👨‍👩‍👧‍👧👨‍👩‍👧‍👧👨‍👩‍👧‍👧', 'a\r\nb', 'e\u0301e\u0301e\u0301', '🇩🇪🇫🇷🇬🇧', '', '\u0000'])
field('min2', ['a', 'ab', 'ä', '😀'])
field('minGraphemes2', ['a', 'ab', '👨‍👩‍👧‍👧', 'e\u0301e'])
field('enumText', ['a', 'b', 'c', '', 'A'])
field('known', ['a', 'z', '', 3])
field('constText', ['fixed', 'other', ''])
field('defaulted', ['x', null])
// Numbers and booleans.
field('integer', [0, 1, -1, 5, 10, 11, 1.5, '5', true, null, 9007199254740991])
field('anyInteger', [9007199254740991, -9007199254740991, 0, -0, 1e15])
field('enumInteger', [1, 2, 3])
field('constInteger', [42, 43])
field('boolean', [true, false, 'true', 0, null])
field('constBoolean', [true, false])
// Bytes, links, blobs.
field('bytes', [{ $bytes: 'AQID' }, { $bytes: 'AQ' }, { $bytes: 'AQ==' }, { $bytes: 'A' }, { $bytes: 'AQIDBAUGBwgJCgsM' }, { $bytes: '' }, { $bytes: 'A-_A' }, { $bytes: 1 }, { $bytes: 'AQID', x: 1 }, 'AQID', [1], {}])
field('link', [{ $link: BLOB }, { $link: CBOR }, { $link: 'bafkreaa' }, { $link: 'x' }, { $link: BLOB, x: 1 }, BLOB, {}, { $link: 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi' }, { $link: 'QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n' }])
const blob = (more) => ({ $type: 'blob', ref: { $link: BLOB }, mimeType: 'image/png', size: 100, ...more })
const without = (key) => { const value = blob(); delete value[key]; return value }
for (const name of ['blob', 'image']) {
  field(name, [
    blob(), blob({ further: 1 }), blob({ further: null }), blob({ size: 0 }), blob({ size: -1 }), blob({ size: 1.5 }), blob({ size: '1' }), blob({ size: 1001 }), blob({ size: 1000 }),
    blob({ mimeType: 'text/plain' }), blob({ mimeType: 'image/jpeg' }), blob({ mimeType: '' }), blob({ mimeType: 'image' }), blob({ mimeType: 'IMAGE/PNG' }), blob({ mimeType: 'image/png; q=1' }),
    blob({ ref: BLOB }), blob({ ref: { $link: CBOR } }), blob({ ref: { $link: 'bafkreaa' } }), without('ref'), without('mimeType'), without('size'), without('$type'),
    { cid: BLOB, mimeType: 'image/png' }, { cid: BLOB, mimeType: 'image/png', size: 3 }, blob({ $type: 'blobs' }), null, {}, 'x', [],
  ])
}
// Arrays and objects.
field('list', [[], ['a'], ['a', 'b', 'c'], ['a', 'b', 'c', 'd'], [1], ['a', null], 'a', {}, null, [[]]])
field('list2', [['a'], ['a', 'b']])
field('object', [{ needed: 1 }, { needed: 1, more: 2 }, {}, { needed: null }, { needed: 1, nullable: null }, { needed: 1, nullable: 'x' }, { needed: 1, nullable: 1 }, { needed: 1, optional: null }, { needed: 1, $type: 'x' }, { needed: 1, $type: '' }, { needed: 1, $type: 3 }, [], 'x', null])
field('unknown', [{}, { $type: 'a' }, { a: [1, { b: null }] }, 'x', 1, null, [], { $link: BLOB }, { $bytes: 'AQ' }, true, { $type: '' }])
// References and unions.
const A = `${KINDS}#a`
for (const name of ['refA', 'refOther']) {
  field(name, [{ x: 1 }, { $type: A, x: 1 }, { $type: `${KINDS}#b`, x: 1 }, { $type: KINDS, x: 1 }, { $type: '', x: 1 }, { $type: 'a', x: 1 }, { $type: null, x: 1 }, { $type: 3, x: 1 }, {}, { x: 'y' }, 'x', null, []])
}
const OTHER = 'com.example.other'
field('refOther', [{ $type: OTHER, x: 1 }, { $type: `${OTHER}#main`, x: 1 }])
for (const name of ['open', 'closed']) {
  field(name, [
    { $type: A, x: 1 }, { $type: A }, { $type: A, x: 'y' }, { $type: `${KINDS}#b`, y: 'z' }, { $type: `${KINDS}#c`, x: 1 }, { $type: 'com.example.elsewhere', x: 1 },
    { $type: OTHER, x: 1 }, { $type: `${OTHER}#main`, x: 1 }, { $type: `${OTHER}#main`, x: 'y' }, { $type: OTHER, x: 'y' }, { x: 1 }, { $type: '' }, { $type: null }, { $type: 3 }, { $type: '#a', x: 1 }, { $type: 'a b' }, { $type: 'blob' }, 'x', null, [], {},
  ])
}
field('tokenRef', [`${KINDS}#token`, 'token', '', 3])
field('textRef', ['ab', 'abcdefg', 3])
field('listRef', [['a'], [1], 'a'])
field('recursive', [{}, { next: {} }, { next: { next: { next: { next: {} } } } }, { next: 1 }, { next: { next: 1 } }, { next: { $type: A } }])
// Real records.
const now = '2026-03-14T09:26:53.589Z'
const POST = 'app.bsky.feed.post'
const post = (more, note) => add(POST, note ?? Object.keys(more)[0] ?? 'plain', { $type: POST, text: 'hello', createdAt: now, ...more })
const strong = (more) => ({ uri: 'at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3jzfcijpj2z2a', cid: CBOR, ...more })
const image = (more) => ({ image: blob({ mimeType: 'image/jpeg' }), alt: '', ...more })
const images = (more) => ({ $type: 'app.bsky.embed.images', images: [image(more)] })
post({})
post({ text: '' }); post({ text: 'a'.repeat(300) }); post({ text: 'a'.repeat(301) }); post({ text: undefined }); post({ createdAt: 'today' }); post({ langs: ['en', 'de', 'fr'] }); post({ langs: ['en', 'de', 'fr', 'es'] })
post({ embed: images() }); post({ embed: images({ aspectRatio: { width: 1, height: 2 } }) })
post({ embed: images({ aspectRatio: { $type: 'app.bsky.embed.defs#aspectRatio', width: 1, height: 2 } }) })
post({ embed: images({ aspectRatio: { $type: 'app.bsky.embed.images#aspectRatio', width: 1, height: 2 } }) })
post({ embed: images({ aspectRatio: { width: 0, height: 2 } }) })
post({ embed: { ...images(), images: Array(5).fill(image()) } }); post({ embed: { $type: 'app.bsky.embed.unknown' } }); post({ embed: { $type: '' } }); post({ embed: {} })
post({ embed: { $type: 'app.bsky.embed.record', record: strong() } }); post({ embed: { $type: 'app.bsky.embed.record', record: strong({ $type: 'com.atproto.repo.strongRef' }) } })
post({ embed: { $type: 'app.bsky.embed.record', record: strong({ $type: 'x' }) } }); post({ embed: { $type: 'app.bsky.embed.record', record: strong({ $type: 'com.atproto.repo.strongRef#main' }) } })
post({ embed: { $type: 'app.bsky.embed.external', external: { uri: 'https://a.example', title: '', description: '' } } })
post({ embed: { $type: 'app.bsky.embed.external', external: { $type: 'app.bsky.embed.external#external', uri: 'https://a.example', title: '', description: '' } } })
post({ embed: { $type: 'app.bsky.embed.external', external: { uri: 'a', title: '', description: '' } } })
post({ reply: { root: strong(), parent: strong() } }); post({ reply: { root: strong() } }); post({ reply: { $type: 'app.bsky.feed.post#replyRef', root: strong(), parent: strong() } }); post({ reply: { $type: 'app.bsky.feed.post#other', root: strong(), parent: strong() } })
const facet = (feature, index) => ({ index: index ?? { byteStart: 0, byteEnd: 1 }, features: [feature] })
post({ facets: [facet({ $type: 'app.bsky.richtext.facet#tag', tag: 'a' })] }); post({ facets: [facet({ $type: 'app.bsky.richtext.facet#link', uri: 'https://a.example' })] }); post({ facets: [facet({ $type: 'app.bsky.richtext.facet#link', uri: 'x' })] })
post({ facets: [facet({ $type: 'app.bsky.richtext.facet#mention', did: 'alice' })] }); post({ facets: [facet({ $type: 'other' })] }); post({ facets: [facet({ tag: 'a' })] }); post({ facets: [facet({ $type: 'other' }, { byteStart: -1, byteEnd: 1 })] })
post({ facets: [facet({ $type: 'other' }, { $type: 'app.bsky.richtext.facet#byteSlice', byteStart: 0, byteEnd: 1 })] }); post({ facets: [{ ...facet({ $type: 'other' }), $type: 'app.bsky.richtext.facet' }] }); post({ facets: [{ ...facet({ $type: 'other' }), $type: 'app.bsky.richtext.facet#main' }] })
post({ labels: { $type: 'com.atproto.label.defs#selfLabels', values: [{ val: 'x' }] } }); post({ labels: { $type: 'other' } }); post({ labels: { values: [] } })
post({ tags: ['a'.repeat(64)] }); post({ tags: ['a'.repeat(65)] }); post({ unknownField: { $type: 'x' } }); post({ text: null }); post({ $type: 'app.bsky.feed.like' })
add('app.bsky.feed.like', 'like', { $type: 'app.bsky.feed.like', subject: strong(), createdAt: now })
add('app.bsky.feed.like', 'like', { $type: 'app.bsky.feed.like', subject: strong({ $type: 'app.bsky.feed.post' }), createdAt: now })
add('app.bsky.feed.like', 'like', { $type: 'app.bsky.feed.like', subject: strong({ cid: 'zdj7WWeQ43G6JJvLWQWZpyHuAMq6uYWRjkBXFad11vE2LHhQ7' }), createdAt: now })
add('app.bsky.feed.like', 'like', { $type: 'app.bsky.feed.like', subject: strong({ uri: 'https://a' }), createdAt: now })
add('app.bsky.actor.profile', 'avatar', { $type: 'app.bsky.actor.profile', avatar: blob() })
add('app.bsky.actor.profile', 'avatar', { $type: 'app.bsky.actor.profile', avatar: { cid: BLOB, mimeType: 'image/png' } })
add('app.bsky.actor.profile', 'avatar', { $type: 'app.bsky.actor.profile', avatar: blob({ size: 1000001 }) })
add('app.bsky.actor.profile', 'avatar', { $type: 'app.bsky.actor.profile', avatar: blob({ mimeType: 'image/gif' }) })
add('app.bsky.graph.follow', 'follow', { $type: 'app.bsky.graph.follow', subject: 'did:plc:ewvi7nxzyoun6zhxrhs64oiz', createdAt: now })
add('app.bsky.graph.follow', 'follow', { $type: 'app.bsky.graph.follow', subject: 'alice.test', createdAt: now })

const indexed = refs(documents)
const schemas = {}
for (const one of cases) {
  const schema = (schemas[one.nsid] ??= await LexiconSchemaBuilder.build(new LexiconIterableIndexer(indexed), `${one.nsid}#main`))
  let result
  try {
    result = schema.safeValidate(jsonToLex(one.value))
  } catch (error) {
    result = { success: false, reason: error }
  }
  one.valid = result.success
  if (!result.success) one.says = result.reason.message.split('\n')[0].slice(0, 200)
}
const lines = cases.map((one) => JSON.stringify(one))
console.log(`[\n${lines.join(',\n')}\n]`)
