"""Makes the seeds of the fuzz targets: `python make.py` with numpy, scipy and pillow writes them beside itself."""

import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

R = Path(__file__).parent
ROOT = R.parent.parent


def put(name, file, data):
    p=R/name; p.mkdir(parents=True, exist_ok=True); (p/file).write_bytes(data)
def npy(a, **k):
    b=io.BytesIO(); np.save(b,a,**k); return b.getvalue()
put('npy','f4.npy',npy(np.arange(6,dtype='<f4').reshape(3,2)))
put('npy','f8-columns.npy',npy(np.asfortranarray(np.arange(6,dtype='<f8').reshape(3,2))))
put('npy','f2.npy',npy(np.ones((2,3),'<f2')))
put('npy','i8.npy',npy(np.array([3,1,3])))
put('npy','words.npy',npy(np.array(['owl','fox','owl'])))
put('npy','bytes.npy',npy(np.array([b'owl',b'fox'])))
for n,f in (('plain.npz',np.savez),('packed.npz',np.savez_compressed)):
    b=io.BytesIO(); f(b,embeddings=np.zeros((3,2),'f4'),labels=np.array([1,2,1])); put('npz',n,b.getvalue())
def st(d):
    off=0; h={}; body=b''
    for k,(dt,shape,raw) in d.items():
        h[k]={'dtype':dt,'shape':shape,'data_offsets':[off,off+len(raw)]}; off+=len(raw); body+=raw
    t=json.dumps(h).encode(); t+=b' '*(-len(t)%8); return struct.pack('<Q',len(t))+t+body
v=st({'embeddings':('F32',[3,2],np.zeros((3,2),'f4').tobytes()),'labels':('I64',[3],np.array([1,2,1]).tobytes())})
put('safetensors','f32.safetensors',v)
put('safetensors','f16.safetensors',st({'embeddings':('F16',[1,2],b'\0'*4),'labels':('U8',[1],b'\1')}))
put('weights','mixed.safetensors',st({'a.weight':('F32',[2,1],b'\0'*8),'a.flag':('BOOL',[2],b'\0\1'),'a.half':('BF16',[2],b'\0'*4)}))
put('csv','header.csv',b'name,label,0,1\n"a, b.png",3,1,2\nc.png,1,3,4\n')
put('csv','bare.csv',b'1;2;3\n4;5;6\n')
put('csv','labels.tsv',b'label\tclass\n3\towl\n1\tfox\n')
put('csv','words.csv',b'owl\nfox\nowl\n')
T='label,path,split,is_query,is_gallery,category,x_1,x_2,y_1,y_2\n5,images/a.png,train,,,birds,,,,\n6,"images/b, c.png",train,None,None,,1.0,3.0,0.0,2.0\n7,images/e.png,validation,True,True,fish,,,,\n8,images/g.png,validation,False,True,,,,,\n'
put('table','oml.csv',T.encode())
put('table','words.csv',b'\xef\xbb\xbfLabel;Path;Split;is_query;is_gallery\nowl;a.png;train;;\nfox;b.png;validation;1;1\n')
put('pairs','pairs.txt',b'2\t1\nAda\t1\t2\nAda\t1\tBo\t2\nCy\t1\t2\nCy\t1\tDi\t2\n')
put('pairs','spaces.txt',b'\xef\xbb\xbf1 1\nAda 1 2\nAda 1 Bo 2\n')
def z(method,files):
    b=io.BytesIO()
    with zipfile.ZipFile(b,'w',method) as f:
        for n,c in files: f.writestr(zipfile.ZipInfo(n,(2020,1,1,0,0,0)),c,method)
    return b.getvalue()
put('archive','stored.zip',z(zipfile.ZIP_STORED,[('images_background/Greek/character01/0394_01.png',b'png'),('a/b.txt',b'x'*50)]))
put('archive','packed.zip',z(zipfile.ZIP_DEFLATED,[('images_background/Greek/character01/0394_01.png',b'p'*400),('run01/class_labels.txt',b'a b\n'*20)]))
W=ROOT / 'crates/backbones/tests/weights'
for f in ('zip.pth','old.pth','nested.pth','trainer.ckpt','moco.pth.tar'): put('torch',f,(W/f).read_bytes())
for f in ('lists','columns'): put('parquet',f+'.parquet',(ROOT / 'crates/evaluate/tests/tables' / (f+'.parquet')).read_bytes())
put('config','conv.json',json.dumps({"format":1,"backbone":{"architecture":"conv-net","width":4,"blocks":2,"size":16,"channels":1},"embedding":3,"preprocess":{"resize":16}}).encode())
put('state','state.json',json.dumps({"format":1,"step":40,"optimizer_steps":40,"sampler":{"seed":7,"drawn":3},"best":0.75}).encode())
put('settings','all.toml',(ROOT/'docs/guide/settings.md').read_text().split('```toml\n')[1].split('```')[0].encode())
im=Image.fromarray((np.arange(12*10*3)%251).astype('u1').reshape(10,12,3))
for f,e in (('PNG','png'),('JPEG','jpg'),('WEBP','webp'),('GIF','gif'),('BMP','bmp'),('TIFF','tiff')):
    b=io.BytesIO(); im.save(b,f); put('picture','rgb.'+e,b.getvalue())
b=io.BytesIO(); im.convert('RGBA').save(b,'PNG',icc_profile=b'x'*200); put('picture','profile.png',b.getvalue())
b=io.BytesIO(); im.convert('P').save(b,'PNG'); put('picture','palette.png',b.getvalue())
b=io.BytesIO(); Image.fromarray((np.arange(48)*900).astype('u2').reshape(6,8)).save(b,'PNG'); put('picture','deep.png',b.getvalue())
b=io.BytesIO(); im.save(b,'TIFF',compression='tiff_lzw'); put('picture','lzw.tiff',b.getvalue())
b=io.BytesIO(); im.save(b,'WEBP',lossless=True); put('picture','lossless.webp',b.getvalue())
b=io.BytesIO(); im.save(b,'JPEG',progressive=True); put('picture','progressive.jpg',b.getvalue())
a=np.zeros((1,2),dtype=[('fname','O'),('class','O')])
for i in range(2): a[0,i]=('%05d.jpg'%(i+1), np.array([[i+1]],'u1'))
n=np.empty((1,2),object); n[0,0]='Acura'; n[0,1]='BMW'
for c in (False,True):
    b=io.BytesIO(); scipy.io.savemat(b,{'annotations':a,'class_names':n},do_compression=c); put('matlab','packed.mat' if c else 'plain.mat',b.getvalue())
# Graphs of approximate search: links, nodes, entry, words of upper layers; ids; starts; lists above; lists of the lowest layer. NONE: nobody.
NONE = 0xffffffff
words = lambda w: struct.pack(f'<{len(w)}I', *w)
put('graph','three.bin',words([2,3,0,0, 1,0,2,0,3,0, 0,0,0,0, 1,2,NONE,NONE, 0,2,NONE,NONE, 0,1,NONE,NONE]))
put('graph','layers.bin',words([2,2,0,4, 5,0,9,1, 0,1,2, 1,NONE,0,NONE, 1,NONE,NONE,NONE, 0,NONE,NONE,NONE]))
# manifest and thresholds: `index` of the index.json of a small index, and the thresholds.json of its run.
